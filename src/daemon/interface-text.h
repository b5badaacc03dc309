/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The descriptions of the interfaces, made from share/varlink/ when suture is built. */
extern const char interface_text[];
extern const char service_text[];
