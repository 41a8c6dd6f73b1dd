#include "base/text.h"

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

static void room_for(struct text *text, size_t more)
{
    size_t need = text->len + more + 1;
    if (need <= text->max)
        return;
    size_t max = text->max ? text->max : 256;
    while (max < need)
        max *= 2;
    text->at = mem_grow(text->at, max);
    text->max = max;
}

void text_add(struct text *text, struct bytes bytes)
{
    room_for(text, bytes.len);
    if (bytes.len)
        memcpy(text->at + text->len, bytes.at, bytes.len);
    text->len += bytes.len;
    text->at[text->len] = 0;
}

void text_put(struct text *text, const char *string)
{
    text_add(text, bytes_text(string));
}

void text_vprintf(struct text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    room_for(text, 200);
    size_t room = text->max - text->len;
    int len = vsnprintf(text->at + text->len, room, format, args);
    if ((size_t)len >= room) {
        room_for(text, (size_t)len);
        vsnprintf(text->at + text->len, (size_t)len + 1, format, again);
    }
    text->len += (size_t)len;
    va_end(again);
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vprintf(text, format, args);
    va_end(args);
}

void text_clear(struct text *text)
{
    text->len = 0;
    if (text->at)
        text->at[0] = 0;
}

void text_free(struct text *text)
{
    free(text->at);
    *text = (struct text){0};
}

void text_one_line(char *at, size_t len)
{
    uint8_t *c = (uint8_t *)at;
    for (size_t i = 0; i < len; i++) {
        bool two = c[i] == 0xc2 && i + 1 < len && c[i + 1] >= 0x80 && c[i + 1] < 0xa0;
        if (two)
            c[i + 1] = ' ';
        if (two || c[i] < 0x20 || c[i] == 0x7f)
            c[i] = ' ';
    }
}
