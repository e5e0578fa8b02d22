/*
 * embed_errors.c - scripts/embed/errors.c does what it says.
 */
#define EXAMPLE "scripts/embed/errors.c"
#define main example
#include "../../scripts/embed/errors.c"
#undef main

#include "embed.h"
