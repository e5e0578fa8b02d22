/*
 * embed_pool.c - scripts/embed/pool.c does what it says.
 */
#define EXAMPLE "scripts/embed/pool.c"
#define main example
#include "../../scripts/embed/pool.c"
#undef main

#include "embed.h"
