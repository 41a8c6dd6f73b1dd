#include "scenarios/runner/live/live_json.h"

#include "base/arena.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>

void live_json_put(struct text *to, json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT);
    if (line)
        text_put(to, line);
    text_put(to, "\n");
    free(line);
    json_decref(object);
}

json_t *live_json_line(struct bytes line)
{
    json_error_t error;
    json_t *object = json_loadb((const char *)line.at, line.len,
                                JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

const char *live_json_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool live_json_number(const json_t *object, const char *name, uint64_t max, uint64_t *out)
{
    const json_t *value = json_object_get(object, name);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number > max)
        return false;
    *out = (uint64_t)number;
    return true;
}

void live_json_content_set(json_t *object, struct bytes content, bool text)
{
    json_t *value =
        text && content.len ? json_stringn((const char *)content.at, content.len) : NULL;
    if (text && content.len == 0)
        value = json_string("");
    if (value) {
        json_object_set_new(object, "text", value);
        return;
    }
    char *encoded = mem_alloc((content.len + 2) / 3 * 4 + 1);
    int len = EVP_EncodeBlock((unsigned char *)encoded, content.at, (int)content.len);
    json_object_set_new(object, "data", json_stringn(encoded, (size_t)len));
    free(encoded);
}

static bool decode(const char *from, size_t len, struct text *to)
{
    if (len % 4 != 0 || len > INT_MAX)
        return false;
    unsigned char *room = mem_alloc(len / 4 * 3 + 1);
    int got = len ? EVP_DecodeBlock(room, (const unsigned char *)from, (int)len) : 0;
    // The padding was decoded, too.
    for (size_t i = len; got > 0 && i > 0 && from[i - 1] == '=' && len - i < 2; i--)
        got--;
    if (got > 0)
        text_add(to, bytes_of(room, (size_t)got));
    free(room);
    return got >= 0;
}

bool live_json_content_get(const json_t *object, struct text *to, bool *text)
{
    const json_t *content = json_object_get(object, "text");
    *text = json_is_string(content);
    if (*text) {
        text_add(to, bytes_of(json_string_value(content), json_string_length(content)));
        return true;
    }
    content = json_object_get(object, "data");
    return json_is_string(content) &&
           decode(json_string_value(content), json_string_length(content), to);
}
