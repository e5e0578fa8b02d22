/*
 * embed_plugins.c - scripts/embed/plugins.c does what it says.
 */
#define EXAMPLE "scripts/embed/plugins.c"
#define main example
#include "../../scripts/embed/plugins.c"
#undef main

#include "embed.h"
