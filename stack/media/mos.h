// How a call would be judged: the E-model of ITU-T G.107 with its default values.
//
// R = 93.2 - Idd - Ie,eff; 93.2 is R0 - Is with every default. Echo is taken as cancelled
// (Idte = Idle = 0), the advantage A as 0. Only + - * / and sqrt: the same digits everywhere.
#ifndef STACK_MEDIA_MOS_H
#define STACK_MEDIA_MOS_H

enum mos_codec {
    MOS_G711, // Ie 0, Bpl 25.1: G.113 Appendix I, with packet loss concealment, random loss
    MOS_G722, // Ie 0, Bpl 25.1: an assumption, the values of G.711
    MOS_OPUS, // Ie 0, Bpl 20: an assumption; no values are published for the narrow-band scale
};

struct mos_input {
    enum mos_codec codec;
    double delay_ms;     // mouth to ear, one way; clamped to 0..10000
    double loss_percent; // after repair, late packets included; clamped to 0..100
    double burst_ratio;  // 1: random loss; clamped to 1 and more
};

struct mos {
    double idd;    // impairment by delay
    double ie_eff; // impairment by codec and loss
    double r;      // rating, 0..93.2
    double mos;    // 1..4.5
};

struct mos mos_estimate(const struct mos_input *input);

#endif
