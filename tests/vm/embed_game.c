/*
 * embed_game.c - scripts/embed/game.c does what it says.
 */
#define EXAMPLE "scripts/embed/game.c"
#define main example
#include "../../scripts/embed/game.c"
#undef main

#include "embed.h"
