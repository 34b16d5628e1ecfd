# Golden values of metafor for tests/oracles/test_metafor.py. R is not needed to test.
# Made with:  Rscript make_golden.R > golden.json     (metafor 3.8.1, R 4.2.2)
# "tuberculosis" are the thirteen trials of BCG vaccine (Colditz et al., 1994), metafor's dat.bcg:
# log risk ratios. The others are made up: alike by chance, two, and five of which one is exact.
suppressMessages(library(metafor))
num <- function(x) {
  text <- sprintf("%.12g", x)
  if (length(text) == 1) text else paste0("[", paste(text, collapse = ", "), "]")
}
case <- function(name, y, v) {
  fine <- list(tol = 1e-13, maxiter = 10000)
  f <- rma(y, v, method = "PM", test = "adhoc", control = fine)
  upper <- confint(f, control = list(tol = 1e-12, tau2.max = 1e6))$random["tau", ]
  # predict() takes k - 1 degrees of freedom; Higgins et al. take k - 2
  k <- length(y)
  reach <- if (k > 2) qt(.975, k - 2) * sqrt(f$se^2 + f$tau2) else -1
  sprintf(paste0('"%s": {"values": %s, "variances": %s, "mean": %s, "error": %s, "ends": %s, ',
    '"p": %s, "tau2": %s, "I2": %s, "Q": %s, "Qp": %s, "tau_ends": %s, "reach": %s, ',
    '"weights": %s, "blup": %s}'), name, num(as.numeric(y)), num(as.numeric(v)), num(f$b[1]),
    num(f$se), num(c(f$ci.lb, f$ci.ub)), num(f$pval), num(f$tau2), num(f$I2), num(f$QE),
    num(f$QEp), num(upper[2:3]), num(reach), num(as.numeric(weights(f)) / 100), num(blup(f)$pred))
}
bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
cat("{", paste(c(
  case("tuberculosis", bcg$yi, bcg$vi),
  case("alike", c(2.1, 1.4, 3.0, 1.9), c(1.2, 0.9, 2.5, 1.1)^2),
  case("two", c(3.0, -0.5), c(0.9, 1.1)^2),
  case("one exact", c(0.4, 2.9, -1.7, 5.2, 1.1), c(0.1, 1.4, 2.2, 0.8, 3.0)^2)),
  collapse = ",\n"), "}\n")
