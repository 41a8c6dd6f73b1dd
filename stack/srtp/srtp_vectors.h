// Packets of SRTP and SRTCP under master keys, in hex. The plain ones of cm128-80 and gcm are those
// of libsrtp's test/srtp_driver.c (BSD-3-Clause; the bytes alone), the others were computed from
// RFC 3711 and RFC 7714. Keys of GCM are derived as RFC 7714's verified erratum 4938 says, its
// SRTCP packets are laid out as erratum 7858 says.
#ifndef STACK_SRTP_SRTP_VECTORS_H
#define STACK_SRTP_SRTP_VECTORS_H

#include "stack/srtp/srtp.h"

struct srtp_vector {
    const char *name;
    enum secure_profile profile;
    bool rtcp;
    uint32_t index; // RTP: rollovers before it; RTCP: its index
    const char *key, *salt, *plain, *sealed;
};
static const struct srtp_vector srtp_vectors[] = {
    {"cm128-80", SECURE_AES128_CM_SHA1_80, false, 0u, "e1f97a0d3e018be0d64fa32c06de4139",
     "0ec675ad498afeebb6960b3aabe6", "800f1234decafbadcafebabeabababababababababababababababab",
     "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b"
     "8dbb"},
    {"cm128-80-rtcp1", SECURE_AES128_CM_SHA1_80, true, 1u, "e1f97a0d3e018be0d64fa32c06de4139",
     "0ec675ad498afeebb6960b3aabe6", "81c8000bcafebabeabababababababababababababababab",
     "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c123"
     "0798"},
    {"cm128-80-roc0-seq0000", SECURE_AES128_CM_SHA1_80, false, 0u,
     "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6",
     "800f0000decafbadcafebabeabababababababababababababababab",
     "800f0000decafbadcafebabe22286b33d3cf3dd3a88da45c12849e07d04c984eb67a10b5"
     "38d2"},
    {"cm128-80-roc0-seqffff", SECURE_AES128_CM_SHA1_80, false, 0u,
     "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6",
     "800fffffdecafbadcafebabeabababababababababababababababab",
     "800fffffdecafbadcafebabef36e96fc87ac01758cea5f94ba171db81149c9c49efa93c1"
     "b483"},
    {"cm128-80-roc1-seq0000", SECURE_AES128_CM_SHA1_80, false, 1u,
     "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6",
     "800f0000decafbadcafebabeabababababababababababababababab",
     "800f0000decafbadcafebabe24ecf92d9c97bf2ac679b796fdfd365a267beecdc5645659"
     "0e62"},
    {"cm128-80-rocffff-seqffff", SECURE_AES128_CM_SHA1_80, false, 65535u,
     "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6",
     "800fffffdecafbadcafebabeabababababababababababababababab",
     "800fffffdecafbadcafebabe051494d6e80bc3c5cfd4b13ab2231b2f8ef60f5f7ef360da"
     "5314"},
    {"cm128-80-rocffffffff-seqffff", SECURE_AES128_CM_SHA1_80, false, 4294967295u,
     "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6",
     "800fffffdecafbadcafebabeabababababababababababababababab",
     "800fffffdecafbadcafebabe8600988d69d2456da3f55eaca1a1af4ff3ef51be509e969d"
     "d434"},
    {"cm128-80-rtcp-index0", SECURE_AES128_CM_SHA1_80, true, 0u, "e1f97a0d3e018be0d64fa32c06de4139",
     "0ec675ad498afeebb6960b3aabe6", "81c8000bcafebabeabababababababababababababababab",
     "81c8000bcafebabeb19c219a086b6c7ae61d8e0bfeb4be3f800000005631d6cfc906cdb3"
     "0f41"},
    {"cm128-80-rtcp-index2", SECURE_AES128_CM_SHA1_80, true, 2u, "e1f97a0d3e018be0d64fa32c06de4139",
     "0ec675ad498afeebb6960b3aabe6", "81c8000bcafebabeabababababababababababababababab",
     "81c8000bcafebabe621934ea9f788cdad295b3a512d8bc5f80000002c8dc9c552c823658"
     "cdac"},
    {"cm128-80-rtcp-index7fffffff", SECURE_AES128_CM_SHA1_80, true, 2147483647u,
     "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6",
     "81c8000bcafebabeabababababababababababababababab",
     "81c8000bcafebabea40472e764a7a84c1bdb7ffac3497f29ffffffff401caaa50497dc97"
     "efac"},
    {"cm128-80-csrc-ext", SECURE_AES128_CM_SHA1_80, false, 0u, "e1f97a0d3e018be0d64fa32c06de4139",
     "0ec675ad498afeebb6960b3aabe6",
     "92e81234decafbadcafebabe1111111122222222bede000110aa00007061796c6f6164",
     "92e81234decafbadcafebabe1111111122222222bede000110aa0000959f0e8b2353b72a"
     "433bf709944bbad202"},
    {"cm128-80-empty-payload", SECURE_AES128_CM_SHA1_80, false, 0u,
     "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6", "800f1234decafbadcafebabe",
     "800f1234decafbadcafebabe773c2e1cd91d590d16e5"},
    {"gcm128", SECURE_AEAD_AES_128_GCM, false, 0u, "000102030405060708090a0b0c0d0e0f",
     "a0a1a2a3a4a5a6a7a8a9aaab", "800f1234decafbadcafebabeabababababababababababababababab",
     "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201"
     "df3131a127e8a392"},
    {"gcm128-rtcp", SECURE_AEAD_AES_128_GCM, true, 1u, "000102030405060708090a0b0c0d0e0f",
     "a0a1a2a3a4a5a6a7a8a9aaab", "81c8000bcafebabeabababababababababababababababab",
     "81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123b"
     "a88ce61e80000001"},
    {"gcm256", SECURE_AEAD_AES_256_GCM, false, 0u,
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "a0a1a2a3a4a5a6a7a8a9aaab",
     "800f1234decafbadcafebabeabababababababababababababababab",
     "800f1234decafbadcafebabe0af7f21e8a90bdad7a425c9c31ed4bb1d90238917e7390a2"
     "793500e1681acaea"},
    {"gcm256-rtcp", SECURE_AEAD_AES_256_GCM, true, 1u,
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "a0a1a2a3a4a5a6a7a8a9aaab",
     "81c8000bcafebabeabababababababababababababababab",
     "81c8000bcafebabe8abfafa780070a90e80f9161cf4aac081ed93aaa53c15b0f3ed1a3b9"
     "84167b0380000001"},
    {"gcm128-roc1", SECURE_AEAD_AES_128_GCM, false, 1u, "000102030405060708090a0b0c0d0e0f",
     "a0a1a2a3a4a5a6a7a8a9aaab", "800fffffdecafbadcafebabeabababababababababababababababab",
     "800fffffdecafbadcafebabe6b5088b5bcdf5fd61cc3cdd46a08594f030730e57a5d629e"
     "8b7eae1017a1e636"},
};

// What RFC 5764 4.2 exports, and how it is cut: computed with RFC 5705 4 from master secret 00..2f,
// client random 20..3f and server random 40..5f.
struct srtp_material {
    enum secure_profile profile;
    const char *material, *client_key, *server_key, *client_salt, *server_salt;
};
static const struct srtp_material srtp_materials[] = {
    {SECURE_AES128_CM_SHA1_80,
     "6f236a470789140eff8bbf22a912ea2deef53a3c5a2a907f61e51df3293ad4cce82c4f20"
     "2f8f334df567676c3a27a12ba37af42666b6e50575bf9fdd",
     "6f236a470789140eff8bbf22a912ea2d", "eef53a3c5a2a907f61e51df3293ad4cc",
     "e82c4f202f8f334df567676c3a27", "a12ba37af42666b6e50575bf9fdd"},
    {SECURE_AEAD_AES_128_GCM,
     "6f236a470789140eff8bbf22a912ea2deef53a3c5a2a907f61e51df3293ad4cce82c4f20"
     "2f8f334df567676c3a27a12ba37af42666b6e505",
     "6f236a470789140eff8bbf22a912ea2d", "eef53a3c5a2a907f61e51df3293ad4cc",
     "e82c4f202f8f334df567676c", "3a27a12ba37af42666b6e505"},
    {SECURE_AEAD_AES_256_GCM,
     "6f236a470789140eff8bbf22a912ea2deef53a3c5a2a907f61e51df3293ad4cce82c4f20"
     "2f8f334df567676c3a27a12ba37af42666b6e50575bf9fdd606ae87a1bd8b834b0c65b0d"
     "5287e185251ecc692ead26476100e7f5",
     "6f236a470789140eff8bbf22a912ea2deef53a3c5a2a907f61e51df3293ad4cc",
     "e82c4f202f8f334df567676c3a27a12ba37af42666b6e50575bf9fdd606ae87a", "1bd8b834b0c65b0d5287e185",
     "251ecc692ead26476100e7f5"},
};

#endif
