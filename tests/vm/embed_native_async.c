/*
 * embed_native_async.c - scripts/embed/native_async.c does what it says.
 */
#define EXAMPLE "scripts/embed/native_async.c"
#define main example
#include "../../scripts/embed/native_async.c"
#undef main

#include "embed.h"
