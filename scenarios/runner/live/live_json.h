// One line of JSON a message: what live mode and its peers say to each other over pipes.
#ifndef SCENARIOS_LIVE_JSON_H
#define SCENARIOS_LIVE_JSON_H

#include "base/text.h"

#include <jansson.h>

#define LIVE_LINE_MAX ((size_t)1024 * 1024)

// Append the object and the end of the line; the object is freed.
void live_json_put(struct text *to, json_t *object);
// A line that is one object; NULL: it is none. The caller frees it by json_decref.
json_t *live_json_line(struct bytes line);
// The member's text; NULL: there is none, or it is of another kind.
const char *live_json_text(const json_t *object, const char *name);
// The member's whole number from 0 to `max`; false: there is none.
bool live_json_number(const json_t *object, const char *name, uint64_t max, uint64_t *out);

// The content of a message: text as `text`, bytes as base64 `data`. Get appends to `to`.
void live_json_content_set(json_t *object, struct bytes content, bool text);
bool live_json_content_get(const json_t *object, struct text *to, bool *text);

#endif
