# Golden values of survival models, made with
#   R 4.2.2, survival 3.5-3, cmprsk 2.2-11, maxstat 0.7-25.
# Run: Rscript survival.R (writes the CSV files beside this script).
suppressMessages({library(survival); library(cmprsk); library(maxstat)})
options(digits = 17)
save <- function(x, name) write.csv(x, paste0(name, ".csv"), row.names = FALSE)

# 150 samples, two causes, ties after rounding, late entry in some.
set.seed(11)
n <- 150
d <- data.frame(a = rnorm(n), b = rbinom(n, 1, 0.4), g = rep(0:2, length.out = n))
t1 <- rexp(n, exp(-1 + 0.6 * d$a)); t2 <- rexp(n, exp(-1.5 + 0.5 * d$b)); cens <- runif(n, 0.5, 6)
d$time <- pmin(t1, t2, cens)
d$cause <- ifelse(d$time == cens, 0, ifelse(t1 < t2, 1, 2))
d$tied <- ceiling(d$time * 8) / 8
d$entry <- ifelse(runif(n) < 0.3, d$time * runif(n, 0.1, 0.9), 0)
save(d, "input")

rows <- list()
for (dist in c("weibull", "lognormal", "loglogistic", "exponential")) {
  fit <- survreg(Surv(time, cause > 0) ~ a + b, data = d, dist = dist,
                 control = survreg.control(rel.tolerance = 1e-13, maxiter = 200))
  s <- summary(fit)$table
  se <- c(s[, 2], rep(NA, 4 - nrow(s)))[1:4]
  rows[[dist]] <- data.frame(distribution = dist, term = c("intercept", "a", "b", "log_scale"),
    estimate = c(coef(fit), log(fit$scale)), se = se, loglik = fit$loglik[2],
    null = fit$loglik[1], median = predict(fit, data.frame(a = 0.5, b = 1), type = "quantile",
                                           p = 0.5))
}
save(do.call(rbind, rows), "survreg")

rows <- list()
for (what in c("time", "tied")) for (rho in c(0, 1)) for (cause in c(1, 2)) {
  test <- cuminc(d[[what]], ifelse(d$cause == 0, 0, ifelse(d$cause == cause, 1, 2)), d$g,
                 rho = rho)$Tests
  strat <- cuminc(d[[what]], ifelse(d$cause == 0, 0, ifelse(d$cause == cause, 1, 2)), d$g,
                  strata = d$b, rho = rho)$Tests
  rows[[length(rows) + 1]] <- data.frame(what = what, rho = rho, cause = cause,
    statistic = test[1, "stat"], p = test[1, "pv"], stratified = strat[1, "stat"],
    p_stratified = strat[1, "pv"])
}
save(do.call(rbind, rows), "gray")

rows <- list()
for (what in c("time", "tied")) for (cause in c(1, 2)) {
  fit <- crr(d[[what]], d$cause, cbind(d$a, d$b), failcode = cause, gtol = 1e-12, maxiter = 100)
  p <- predict(fit, c(0.5, 1))
  at <- sum(p[, 1] <= 1.5)
  rows[[length(rows) + 1]] <- data.frame(what = what, cause = cause, term = c("a", "b"),
    estimate = fit$coef, se = sqrt(diag(fit$var)), loglik = fit$loglik, null = fit$loglik.null,
    at_1.5 = p[at, 2])
}
save(do.call(rbind, rows), "crr")

# Time-varying covariate: b2 switches from 0 to 1 at a time of its own; counting-process rows.
set.seed(12)
switch <- rexp(n, 0.8)
long <- do.call(rbind, lapply(seq_len(n), function(i) {
  if (switch[i] < d$time[i]) data.frame(id = i, start = c(0, switch[i]), stop = c(switch[i],
    d$time[i]), event = c(0, as.integer(d$cause[i] > 0)), a = d$a[i], x = c(0, 1))
  else data.frame(id = i, start = 0, stop = d$time[i], event = as.integer(d$cause[i] > 0),
                  a = d$a[i], x = 0)
}))
save(long, "counting_input")
fit <- coxph(Surv(start, stop, event) ~ a + x, data = long, cluster = id, ties = "efron",
             control = coxph.control(eps = 1e-13))
plain <- coxph(Surv(start, stop, event) ~ a + x, data = long, ties = "efron",
               control = coxph.control(eps = 1e-13))
save(data.frame(term = c("a", "x"), estimate = coef(fit), se = sqrt(diag(plain$var)),
                robust = sqrt(diag(fit$var)), loglik = fit$loglik[2]), "counting")

# Landmark super model: rows of everybody at risk at each landmark, followed for 1.5.
marks <- c(0, 0.25, 0.5, 0.75)
stack <- do.call(rbind, lapply(marks, function(s) {
  keep <- d$time > s
  data.frame(id = which(keep), mark = s, a = d$a[keep], x = as.integer(switch[keep] <= s),
             stop = pmin(d$time[keep], s + 1.5),
             event = as.integer(d$cause[keep] > 0 & d$time[keep] <= s + 1.5))
}))
fit <- coxph(Surv(mark, stop, event) ~ a + x + strata(mark), data = stack, cluster = id,
             ties = "efron", control = coxph.control(eps = 1e-13))
save(data.frame(term = c("a", "x"), estimate = coef(fit), robust = sqrt(diag(fit$var)),
                rows = nrow(stack), events = sum(stack$event)), "landmark")

# Maximally selected log-rank statistics: statistic and approximations of p.
rows <- list()
for (v in c("a")) {
  m <- maxstat.test(Surv(time, cause > 0) ~ a, data = d, smethod = "LogRank", pmethod = "Lau94",
                    minprop = 0.1, maxprop = 0.9)
  m92 <- maxstat.test(Surv(time, cause > 0) ~ a, data = d, smethod = "LogRank",
                      pmethod = "Lau92", minprop = 0.1, maxprop = 0.9)
  rows[[v]] <- data.frame(variable = v, statistic = m$statistic, cut = m$estimate,
                          lau94 = m$p.value, lau92 = m92$p.value)
}
save(do.call(rbind, rows), "maxstat")

# Calibration at a horizon as Austin, Harrell and van Klaveren describe it, spline by hand.
risk <- plogis(-0.6 + 0.9 * d$a)
x <- log(-log(1 - risk)); k <- quantile(x, c(0.1, 0.5, 0.9))
cube <- function(v) pmax(v, 0)^3
x2 <- (cube(x - k[1]) - (k[3] - k[1]) / (k[3] - k[2]) * cube(x - k[2]) +
       (k[2] - k[1]) / (k[3] - k[2]) * cube(x - k[3])) / (k[3] - k[1])^2
fit <- coxph(Surv(time, cause > 0) ~ x + x2, data = d, ties = "efron",
             control = coxph.control(eps = 1e-13))
seen <- sapply(seq_len(n), function(i) 1 - summary(survfit(fit, data.frame(x = x[i], x2 = x2[i])),
                                                   times = 1, extend = TRUE)$surv)
km <- summary(survfit(Surv(time, cause > 0) ~ 1, data = d), times = 1)
gap <- abs(seen - risk)
save(data.frame(ici = mean(gap), e50 = median(gap), e90 = unname(quantile(gap, 0.9)),
                emax = max(gap), observed = 1 - km$surv, se = km$std.err,
                expected = mean(risk)), "calibration")

# Adjusted survival curves: inverse-probability weights, and direct standardisation of a Cox model.
d$arm <- as.integer(d$g == 2)
ps <- fitted(glm(arm ~ a + b, data = d, family = binomial, control = glm.control(epsilon = 1e-14)))
w <- ifelse(d$arm == 1, 1 / ps, 1 / (1 - ps))
km <- survfit(Surv(time, cause > 0) ~ arm, data = d, weights = w)
fit <- coxph(Surv(time, cause > 0) ~ arm + a + b, data = d, ties = "efron",
             control = coxph.control(eps = 1e-13))
at <- c(0.5, 1, 2)
rows <- list()
for (arm in 0:1) {
  s <- summary(km[arm + 1], times = at, extend = TRUE)
  everyone <- d; everyone$arm <- arm
  direct <- rowMeans(summary(survfit(fit, everyone), times = at, extend = TRUE)$surv)
  rows[[arm + 1]] <- data.frame(arm = arm, time = at, ipw = s$surv, at_risk = s$n.risk,
                                cox = direct)
}
save(do.call(rbind, rows), "adjusted")

# Restricted mean survival time by arm (Greenwood variance) and its difference.
rm <- summary(survfit(Surv(time, cause > 0) ~ arm, data = d), rmean = 2)$table
save(data.frame(arm = 0:1, rmst = rm[, "rmean"], se = rm[, "se(rmean)"]), "rmst")
