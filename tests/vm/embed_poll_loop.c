/*
 * embed_poll_loop.c - scripts/embed/poll_loop.c does what it says.
 */
#define EXAMPLE "scripts/embed/poll_loop.c"
#define main example
#include "../../scripts/embed/poll_loop.c"
#undef main

#include "embed.h"
