# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the scripts of this folder share. To be sourced with bash, after setting `root` to the top
# of the source tree.

# A foreign python3, compiler or meson earlier in PATH must not be picked up.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C.UTF-8
export DEBIAN_FRONTEND=noninteractive
unset CFLAGS CXXFLAGS LDFLAGS CPPFLAGS CC CXX PYTHONPATH PYTHONHOME LD_PRELOAD LD_LIBRARY_PATH

die() {
        printf '%s: %s\n' "${0##*/}" "$*" >&2
        exit 1
}

# packages_of GROUP...: the names in packages.txt for these groups.
packages_of() {
        local group
        for group in "$@"; do
                # shellcheck disable=SC2154
                awk -v group="$group" '$1 == group { print $2 }' "$root/tools/packages.txt"
        done
}

# install_packages GROUP...: installs what is missing; asks the network only when something is.
install_packages() {
        local missing=() name
        for name in $(packages_of "$@"); do
                [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
                        missing+=("$name")
        done
        [ ${#missing[@]} -eq 0 ] && return 0
        [ "$(id -u)" = 0 ] || die "missing packages, install them as root: ${missing[*]}"
        printf 'installing from Debian: %s\n' "${missing[*]}"
        # The known lists may be enough, and the network may be slow; a full update comes second.
        apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null ||
                { apt-get update -q </dev/null &&
                        apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null; }
}
