// Words of the room, as messages and reports show them.
#include "stack/media/media.h"

const char *media_kind_name(enum media_kind kind)
{
    static const char *const names[] = {[MEDIA_AUDIO] = "audio", [MEDIA_VIDEO] = "video"};
    return names[kind];
}

const char *media_drop_name(enum media_drop drop)
{
    static const char *const names[MEDIA_DROPS] = {
        [MEDIA_KEPT] = "kept",
        [MEDIA_MALFORMED] = "malformed",
        [MEDIA_UNKNOWN_STREAM] = "unknown-stream",
        [MEDIA_UNKNOWN_PAYLOAD] = "unknown-payload",
        [MEDIA_NOT_RECEIVING] = "not-receiving",
        [MEDIA_DUPLICATE] = "duplicate",
        [MEDIA_TOO_OLD] = "too-old",
        [MEDIA_TOO_MANY_STREAMS] = "too-many-streams",
        [MEDIA_BAD_PAYLOAD] = "bad-payload",
        [MEDIA_COLLISION] = "collision",
        [MEDIA_LOOP] = "loop",
        [MEDIA_THIRD_PARTY] = "third-party",
    };
    return names[drop];
}
