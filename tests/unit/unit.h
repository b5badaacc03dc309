/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What every unit test includes: cmocka with what it needs before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
