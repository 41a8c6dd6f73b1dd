#define _GNU_SOURCE // unshare, setns
#include "simnet/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICE "/dev/net/tun"
// Peers decide by its name what an interface is good for: those called tun0 are no candidates.
#define INTERFACE "eth0"

static struct ifreq request_of(void)
{
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, INTERFACE, sizeof INTERFACE);
    return request;
}

static void put_address(struct sockaddr *to, uint32_t host_order)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host_order)};
    memcpy(to, &address, sizeof address);
}

// The first address is the interface's, more are those of its aliases eth0:1 and so on.
static bool set_address(int socket, const struct ip *ip, unsigned index)
{
    struct ifreq address = request_of();
    if (index > 0)
        snprintf(address.ifr_name, sizeof address.ifr_name, INTERFACE ":%u", index);
    struct ifreq mask = address;
    put_address(&address.ifr_addr, ip_v4_value(ip));
    put_address(&mask.ifr_netmask, UINT32_MAX);
    return ioctl(socket, SIOCSIFADDR, &address) == 0 && ioctl(socket, SIOCSIFNETMASK, &mask) == 0;
}

static bool bring_up(int socket, uint32_t mtu)
{
    struct ifreq size = request_of(), flags = request_of();
    size.ifr_mtu = (int)mtu;
    if (ioctl(socket, SIOCSIFMTU, &size) != 0 || ioctl(socket, SIOCGIFFLAGS, &flags) != 0)
        return false;
    flags.ifr_flags |= IFF_UP;
    return ioctl(socket, SIOCSIFFLAGS, &flags) == 0;
}

static bool route_all(int socket)
{
    char name[] = INTERFACE;
    struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = name};
    put_address(&route.rt_dst, 0);
    put_address(&route.rt_genmask, 0);
    return ioctl(socket, SIOCADDRT, &route) == 0;
}

// Scenarios are of IPv4: what has no address there should not try (a missing file: none built in).
static void disable_ipv6(void)
{
    int fd = open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t written = write(fd, "1", 1);
    (void)written;
    close(fd);
}

static int tun_open(struct err *err)
{
    int tun = open(DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (tun < 0) {
        err_set(err, "cannot open " DEVICE ": %s", strerror(errno));
        return -1;
    }
    struct ifreq request = request_of();
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (ioctl(tun, TUNSETIFF, &request) == 0)
        return tun;
    err_set(err, "cannot make a TUN device: %s", strerror(errno));
    close(tun);
    return -1;
}

static bool configure(const struct ip *ips, unsigned count, uint32_t mtu, struct err *err)
{
    disable_ipv6();
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = control >= 0;
    for (unsigned i = 0; i < count && good; i++)
        good = set_address(control, &ips[i], i);
    good = good && bring_up(control, mtu) && route_all(control);
    if (!good)
        err_set(err, "cannot configure " INTERFACE ": %s", strerror(errno));
    if (control >= 0)
        close(control);
    return good;
}

bool live_host_open(struct live_host *host, const struct ip *ips, unsigned count, uint32_t mtu,
                    struct err *err)
{
    *host = (struct live_host){-1, -1};
    int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (before < 0)
        return err_set(err, "cannot open /proc/self/ns/net: %s", strerror(errno));
    bool good = unshare(CLONE_NEWNET) == 0;
    if (!good) {
        close(before);
        return err_set(err, "cannot make a network namespace: %s", strerror(errno));
    }
    host->namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    good = host->namespace >= 0;
    if (!good)
        err_set(err, "cannot open the new network namespace: %s", strerror(errno));
    host->tun = good ? tun_open(err) : -1;
    good = good && host->tun >= 0 && configure(ips, count, mtu, err);
    if (setns(before, CLONE_NEWNET) != 0)
        good = err_set(err, "cannot leave the new network namespace: %s", strerror(errno));
    close(before);
    if (!good)
        live_host_close(host);
    return good;
}

bool live_host_loopback(const struct live_host *host, struct err *err)
{
    int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (before < 0 || setns(host->namespace, CLONE_NEWNET) != 0) {
        if (before >= 0)
            close(before);
        return err_set(err, "cannot enter a network namespace: %s", strerror(errno));
    }
    struct ifreq flags = {.ifr_name = "lo"};
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = control >= 0 && ioctl(control, SIOCGIFFLAGS, &flags) == 0;
    flags.ifr_flags |= IFF_UP;
    good = good && ioctl(control, SIOCSIFFLAGS, &flags) == 0;
    if (!good)
        err_set(err, "cannot bring up lo: %s", strerror(errno));
    if (control >= 0)
        close(control);
    if (setns(before, CLONE_NEWNET) != 0)
        good = err_set(err, "cannot leave a network namespace: %s", strerror(errno));
    close(before);
    return good;
}

void live_host_close(struct live_host *host)
{
    if (host->tun >= 0)
        close(host->tun);
    if (host->namespace >= 0)
        close(host->namespace);
    *host = (struct live_host){-1, -1};
}
