/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Where a process belongs, as its control group tells: proc/process.c fills struct process from
 * here. Groups are named by systemd (systemd's "Control Group APIs and Delegation") and by the
 * container managers; each of those has a row in a table of cgroup.c.
 */
#include <stdbool.h>
#include <stddef.h>

/*
 * From the text of /proc/PID/cgroup (cgroups(7)): the path in the v2 hierarchy if that is not
 * the root, else the path in v1's name=systemd. "" if neither is in the text.
 */
void cgroup_parse_path(const char *text, char *ret, size_t ret_size);
/* The path of a v1 controller ("freezer"), or of v2 for ""; false if the text has none. */
bool cgroup_parse_controller(const char *text, const char *controller, char *ret,
                             size_t ret_size);

/*
 * The unit. Inside a container: the unit of the container's own systemd, if one runs there, else
 * the host's unit for the container. In a user's manager: "user@1000.service/app.service".
 */
void cgroup_parse_unit(const char *path, char *ret, size_t ret_size);
/*
 * The container: "KIND:NAME", of the kinds docker, podman, containerd, crio, kubernetes (the
 * name is 12 digits of the id), nspawn and lxc; "" if it is none.
 */
void cgroup_parse_container(const char *path, char *ret, size_t ret_size);

/* True if the group, or one above it, is frozen now (v2 cgroup.events; v1 freezer.state). */
bool cgroup_frozen(const char *text);
