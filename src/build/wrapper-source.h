/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The text of wrapper/compile-wrapper.c, which is compiled in the root; made when suture is built. */
extern const char wrapper_source[];
