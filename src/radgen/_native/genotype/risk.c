/* Squares of risk-set means of genotypes, for the information of Cox's partial likelihood. */
#include "genotype.h"

/* Sum over the event rows of weight * mean^2, the mean of g over each risk set weighted by risk.
 * Samples come in `order` of their times; event time k begins at start[k] of that order; row r
 * belongs to time of_row[r], takes the part fraction[r] of the deaths out of the risk set, and has
 * the denominator den[r]. */
double risk_squares(const risk_table *table, const double *g, double *sums, double *deaths)
{
    const Py_ssize_t times = table->n_times;
    double total = 0;
    Py_ssize_t at = table->n - 1;
    for (Py_ssize_t k = times - 1; k >= 0; k--) {
        for (; at >= table->start[k]; at--) {
            const int64_t sample = table->order[at];
            total += table->risk[sample] * g[sample];
        }
        sums[k] = total;
        deaths[k] = 0;
    }
    for (Py_ssize_t d = 0; d < table->n_deaths; d++) {
        const int64_t sample = table->dead[d];
        deaths[table->dead_time[d]] += table->risk[sample] * g[sample];
    }
    double squares = 0;
    for (Py_ssize_t r = 0; r < table->n_rows; r++) {
        const int64_t k = table->of_row[r];
        double mean = (sums[k] - table->fraction[r] * deaths[k]) / table->den[r];
        squares += table->weight[r] * mean * mean;
    }
    return squares;
}
