/*
 * embed_server.c - scripts/embed/server.c does what it says.
 */
#define EXAMPLE "scripts/embed/server.c"
#define main example
#include "../../scripts/embed/server.c"
#undef main

#include "embed.h"
