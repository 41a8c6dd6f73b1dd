// The version that `simrtc --version` and the reports name.
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define SIMRTC_VERSION "0.1.0"

#endif
