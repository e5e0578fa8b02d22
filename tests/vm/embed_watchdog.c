/*
 * embed_watchdog.c - scripts/embed/watchdog.c does what it says.
 */
#define EXAMPLE "scripts/embed/watchdog.c"
#define main example
#include "../../scripts/embed/watchdog.c"
#undef main

#include "embed.h"
