/* Which words of 32 genotypes hold one that differs from the common homozygote. */
#include "genotype.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_LANES
#endif

static uint64_t load_word(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

/* Written down without asking, since a wrong guess costs more than a word. */
static uint64_t unlike_rest(const uint8_t *row, int at, int words, uint64_t usual, uint64_t found)
{
    for (; at < words; at++)
        found |= (uint64_t)(load_word(row + 8 * at) != usual) << at;
    return found;
}

#ifdef HAVE_LANES
__attribute__((target("avx512f"))) static uint64_t unlike_512(const uint8_t *row, int words,
                                                              uint64_t usual)
{
    const __m512i all = _mm512_set1_epi64((long long)usual);
    uint64_t found = 0;
    int at = 0;
    for (; at + 8 <= words; at += 8)
        found |= (uint64_t)_mm512_cmpneq_epi64_mask(_mm512_loadu_si512(row + 8 * at), all) << at;
    return unlike_rest(row, at, words, usual, found);
}

__attribute__((target("avx2"))) static uint64_t unlike_256(const uint8_t *row, int words,
                                                           uint64_t usual)
{
    const __m256i all = _mm256_set1_epi64x((long long)usual);
    uint64_t found = 0;
    int at = 0;
    for (; at + 4 <= words; at += 4) {
        const __m256i these = _mm256_loadu_si256((const __m256i *)(row + 8 * at));
        const __m256d same = _mm256_castsi256_pd(_mm256_cmpeq_epi64(these, all));
        found |= (uint64_t)(~_mm256_movemask_pd(same) & 15) << at;
    }
    return unlike_rest(row, at, words, usual, found);
}
#endif

uint64_t unlike(const uint8_t *row, int words, uint64_t usual)
{
#ifdef HAVE_LANES
    if (__builtin_cpu_supports("avx512f"))
        return unlike_512(row, words, usual);
    if (__builtin_cpu_supports("avx2"))
        return unlike_256(row, words, usual);
#endif
    return unlike_rest(row, 0, words, usual, 0);
}
