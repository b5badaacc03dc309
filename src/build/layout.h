/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Changed structures and signatures, by the debugging information of both objects. Both are
 * reported: SB101, SB103; without information that can be read: SB125.
 */
#include "build/extract.h"

int layout_check(struct extraction *extraction, struct error *err);
