/*
 * embed_reload.c - scripts/embed/reload.c does what it says.
 */
#define EXAMPLE "scripts/embed/reload.c"
#define main example
#include "../../scripts/embed/reload.c"
#undef main

#include "embed.h"
