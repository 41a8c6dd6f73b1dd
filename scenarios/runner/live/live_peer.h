// This stack as a process of its own: the peer's end of the adapter protocol on stdin and stdout,
// and real UDP sockets.
#ifndef SCENARIOS_LIVE_PEER_H
#define SCENARIOS_LIVE_PEER_H

// Until stdin ends. Returns the exit code.
int live_peer_main(void);

#endif
