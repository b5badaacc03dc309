/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proc/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define ID "4f2a81c0aabb11223344556677889900aabbccddeeff00112233445566778899"

struct place {
        const char *path, *unit, *container;
};

static const struct place places[] = {
        { "/", "", "" },
        { "/init.scope", "init.scope", "" },
        { "/system.slice/nginx.service", "nginx.service", "" },
        { "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "" },
        { "/system.slice/_cpu.service", "cpu.service", "" },
        { "/system.slice", "", "" },
        { "/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "" },
        { "/user.slice/user-1000.slice/user@1000.service/app.slice/mail.service",
          "user@1000.service/mail.service", "" },
        { "/user.slice/user-1000.slice/user@1000.service/init.scope",
          "user@1000.service/init.scope", "" },
        { "/system.slice/docker-" ID ".scope", "docker-" ID ".scope", "docker:4f2a81c0aabb" },
        { "/docker/" ID, "", "docker:4f2a81c0aabb" },
        { "/docker/" ID "/system.slice/nginx.service", "nginx.service", "docker:4f2a81c0aabb" },
        { "/docker/buildx", "", "" },
        { "/machine.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope",
          "podman:4f2a81c0aabb" },
        { "/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", "" },
        { "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
          "user@1000.service/libpod-" ID ".scope", "podman:4f2a81c0aabb" },
        { "/libpod_parent/libpod-" ID, "", "podman:4f2a81c0aabb" },
        { "/kubepods.slice/kubepods-pod12.slice/cri-containerd-" ID ".scope",
          "cri-containerd-" ID ".scope", "containerd:4f2a81c0aabb" },
        { "/kubepods/besteffort/pod0a1b/" ID, "", "kubernetes:4f2a81c0aabb" },
        { "/machine.slice/machine-web\\x2d1.scope/payload/system.slice/nginx.service",
          "nginx.service", "nspawn:web-1" },
        { "/machine.slice/systemd-nspawn@shop.service/payload", "systemd-nspawn@shop.service",
          "nspawn:shop" },
        { "/machine.slice/systemd-nspawn@shop.service/supervisor", "systemd-nspawn@shop.service",
          "" },
        { "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/vcpu0",
          "machine-qemu\\x2d1\\x2dvm.scope", "" },
        { "/lxc.payload.web/system.slice/nginx.service", "nginx.service", "lxc:web" },
        { "/lxc/web", "", "lxc:web" },
        { "/lxc.monitor.web", "", "" },
};

static void test_places(void **state)
{
        char unit[128], container[96];

        (void)state;
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                cgroup_parse_unit(places[i].path, unit, sizeof(unit));
                cgroup_parse_container(places[i].path, container, sizeof(container));
                assert_string_equal(unit, places[i].unit);
                assert_string_equal(container, places[i].container);
        }
}

static void test_path(void **state)
{
        char path[64];

        (void)state;
        cgroup_parse_path("0::/system.slice/a.service\n", path, sizeof(path));
        assert_string_equal(path, "/system.slice/a.service");
        cgroup_parse_path("1:name=systemd:/b.service\n0::/a.service\n", path, sizeof(path));
        assert_string_equal(path, "/a.service");
        cgroup_parse_path("2:cpu,cpuacct:/x\n1:name=systemd:/b.service\n0::/\n", path,
                          sizeof(path));
        assert_string_equal(path, "/b.service");
        cgroup_parse_path("0::/\n", path, sizeof(path));
        assert_string_equal(path, "/");
        cgroup_parse_path("2:cpu,cpuacct:/x\n", path, sizeof(path));
        assert_string_equal(path, "");
        cgroup_parse_path("broken\n:\n", path, sizeof(path));
        assert_string_equal(path, "");
        cgroup_parse_path("0::/a:b\n", path, sizeof(path));
        assert_string_equal(path, "/a:b");
}

static void test_controller(void **state)
{
        static const char text[] = "9:freezer:/f\n2:cpu,cpuacct:/x\n0::/v2\n";
        char path[64];

        (void)state;
        assert_true(cgroup_parse_controller(text, "freezer", path, sizeof(path)));
        assert_string_equal(path, "/f");
        assert_true(cgroup_parse_controller(text, "cpuacct", path, sizeof(path)));
        assert_string_equal(path, "/x");
        assert_true(cgroup_parse_controller(text, "", path, sizeof(path)));
        assert_string_equal(path, "/v2");
        assert_false(cgroup_parse_controller(text, "freez", path, sizeof(path)));
        assert_false(cgroup_parse_controller(text, "name=systemd", path, sizeof(path)));
}

static void test_long(void **state)
{
        char container[16], unit[8];

        (void)state;
        cgroup_parse_container("/docker/" ID, container, sizeof(container));
        assert_string_equal(container, "docker:4f2a81c0");
        cgroup_parse_unit("/nginx.service", unit, sizeof(unit));
        assert_string_equal(unit, "nginx.s");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_places),
                cmocka_unit_test(test_path),
                cmocka_unit_test(test_controller),
                cmocka_unit_test(test_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
