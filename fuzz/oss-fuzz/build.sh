#!/bin/bash -eu
# All harnesses as OSS-Fuzz, ClusterFuzzLite and their like want them. They set:
#
#     CC CXX CFLAGS CXXFLAGS   the compiler, with the sanitizer's and the engine's flags
#     LIB_FUZZING_ENGINE       what links an engine, with its main()
#     SRC OUT WORK             where simrtc/ is, where the result goes, room for objects
#
# In OUT: each harness, its name_seed_corpus.zip, name.dict where it has one, name.options, and in
# lib/ the libraries that a machine without them needs.
cd "$SRC/simrtc"
build=$WORK/simrtc
mkdir -p "$build" "$OUT/lib"

# rpath of the old kind: libraries of libraries are looked for there, too.
# The engine is C++: $CXX links. Flags of the sanitizer come by CFLAGS; warnings are for make test.
make -s -j"$(nproc)" CC="$CC" FUZZ_LINK="$CXX $CXXFLAGS" BUILD="$build" VARIANT= OPTIMIZE=-g WARNINGS= \
    CFLAGS="$CFLAGS -DSIMRTC_FUZZ_TIMED" FUZZ_MAIN= \
    LDFLAGS="$LIB_FUZZING_ENGINE -Wl,--disable-new-dtags,-rpath,'\$\$ORIGIN/lib'" fuzz-programs

for source in fuzz/*.c; do
    name=$(basename "$source" .c)
    [ "$name" != replay ] || continue
    cp "$build/fuzz/$name" "$OUT/$name"
    find "fuzz/corpus/$name" -type f ! -name ORIGIN | LC_ALL=C sort |
        zip -q -j -X -@ "$OUT/${name}_seed_corpus.zip"
    [ ! -f "fuzz/$name.dict" ] || cp "fuzz/$name.dict" "$OUT/"
    {
        echo "[libfuzzer]"
        sed -n 's|^// libFuzzer: ||p' "fuzz/$name.c" | tr ' ' '\n' | sed -n 's|^-\([a-z_]*\)=|\1 = |p'
        echo "timeout = 25"
    } >"$OUT/$name.options"
    # What the linker found here, but for what every machine has.
    ldd "$OUT/$name" | awk '$3 ~ /^\// { print $3 }' |
        { grep -vE '/(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|ld-linux[^/]*)\.so' || true; } |
        xargs -r cp -n -t "$OUT/lib"
done
