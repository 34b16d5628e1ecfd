# Golden values of limma (Bioconductor) for tests/oracles/test_limma.py. R is not needed to test.
# Made with:  Rscript make_golden.R > golden.json     (limma 3.54.1, statmod 1.5.0, R 4.2.2)
suppressMessages({library(limma); library(statmod)})
num <- function(x) {
  text <- ifelse(is.infinite(x), '"inf"', sprintf("%.15g", x))
  if (length(text) == 1) text else paste0("[", paste(text, collapse = ","), "]")
}
case <- function(name, d) {            # d: comparisons x folds
  s2 <- apply(d, 1, var); df <- ncol(d) - 1
  plain <- squeezeVar(s2, df); robust <- squeezeVar(s2, df, robust = TRUE)
  fit <- lmFit(d, matrix(1, ncol(d), 1))
  e <- eBayes(fit); r <- eBayes(fit, robust = TRUE)
  rows <- paste(apply(d, 1, num), collapse = ",")
  one <- function(q, e) sprintf(
    '{"scale": %s, "degrees": %s, "posterior": %s, "t": %s, "p": %s}', num(q$var.prior[1]),
    num(q$df.prior), num(q$var.post), num(e$t[, 1]), num(e$p.value[, 1]))
  sprintf('"%s": {"differences": [%s], "plain": %s, "robust": %s}', name, rows,
          one(plain, e), one(robust, r))
}
set.seed(2026)
normal <- function(m, k, sd) matrix(rnorm(m * k), m, k) * sd + rnorm(m)
noisy <- rep(1, 18); noisy[4] <- 6
cases <- c(
  case("nine alike", normal(9, 5, 1)),
  case("nine of two kinds", normal(9, 5, c(1, 1, 1, 1, 1, 3, 3, 3, 3))),
  case("eighteen, one noisy", normal(18, 5, noisy)),
  case("forty of different scatter", normal(40, 5, sqrt(4 / rchisq(40, 4)))),
  case("forty of different scatter, two noisy", normal(40, 5, c(12, 9, sqrt(8 / rchisq(38, 8))))),
  case("eighty-three with ten folds", normal(83, 10, sqrt(6 / rchisq(83, 6)))),
  case("eighty-three alike", normal(83, 5, 1)))
cat("{\n", paste(cases, collapse = ",\n"), "\n}\n", sep = "")
