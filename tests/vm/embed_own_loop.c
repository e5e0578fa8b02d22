/*
 * embed_own_loop.c - scripts/embed/own_loop.c does what it says.
 */
#define EXAMPLE "scripts/embed/own_loop.c"
#define main example
#include "../../scripts/embed/own_loop.c"
#undef main

#include "embed.h"
