/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The text with each name of C++ as people write it: "_ZN4Conn4sizeEv" becomes "Conn::size()".
 * Allocated; NULL only when memory is out. Without libstdc++ on the machine names stay as they are.
 */
char *demangle_text(const char *text);
