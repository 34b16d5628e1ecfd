"""The posterior over corpora against bayesmeta's published one and quadrature by another road, and
what degrees of freedom do.
"""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from reports.statistics.hierarchical import joint_posterior, log_likelihood, posteriors

SCHOOLS = (  # eight schools: Rubin (1981)
    [28.39, 7.94, -2.75, 6.82, -0.64, 0.63, 18.01, 12.16],
    [14.9, 10.2, 16.3, 11.0, 9.4, 11.4, 10.4, 17.6],
)


def by_conditional_normals(values, errors, scale):
    """Ends, median and ends for a new corpus by the algorithm of bayesmeta (Röver, 2020): the mean
    is normal given tau, and tau alone is integrated, adaptively.
    """
    y, e = np.array(values), np.array(errors)

    def given(tau):
        w = 1 / (e**2 + tau**2)
        mean = (w * y).sum() / w.sum()
        log = 0.5 * np.log(w).sum() - 0.5 * np.log(w.sum()) - 0.5 * (w * (y - mean) ** 2).sum()
        return np.exp(log - 0.5 * (tau / scale) ** 2), mean, w.sum() ** -0.5

    def over(function):
        return integrate.quad(function, 0, 10 * scale, limit=200, epsabs=1e-11)[0]

    whole = over(lambda tau: given(tau)[0])

    def quantile(share, *, new):
        def beyond(x):
            def part(tau):
                weight, mean, error = given(tau)
                return weight * stats.norm.cdf((x - mean) / np.hypot(error, tau * new))

            return over(part) / whole - share

        return optimize.brentq(beyond, -300, 300)

    return [quantile(s, new=False) for s in (0.025, 0.5, 0.975)] + [
        quantile(s, new=True) for s in (0.025, 0.975)
    ]


# what bayesmeta 2.2 prints of the eight schools in its vignette (inst/doc/bayesmeta.html on CRAN):
# for the mean and for tau median, mean, standard deviation and the ends of the shortest interval
PUBLISHED = {
    "mean normal around 0 by 50, tau half-Cauchy of scale 25": (
        lambda mean, tau: stats.norm.logpdf(mean, 0, 50) + stats.halfcauchy.logpdf(tau, 0, 25),
        (7.962961, 7.985729, 4.995762, -1.823353, 17.824562),
        (4.758539, 5.884511, 4.869904, 0.0, 15.165894),
    ),
    "both uniform": (
        lambda mean, tau: 0.0 * (mean + tau),
        (8.055861, 8.092138, 5.246683, -2.176157, 18.406330),
        (5.227732, 6.585992, 5.685974, 0.0, 17.265797),
    ),
}


def summary(nodes, weight):
    """Median, mean, standard deviation and the ends of the shortest 95 % interval."""
    mean = (weight * nodes).sum()
    below = np.cumsum(weight) - weight / 2
    starts = np.linspace(0, 0.05, 501)
    lows, highs = np.interp(starts, below, nodes), np.interp(starts + 0.95, below, nodes)
    best = (highs - lows).argmin()
    spread = (weight * (nodes - mean) ** 2).sum() ** 0.5
    return np.interp(0.5, below, nodes), mean, spread, lows[best], highs[best]


@pytest.mark.parametrize("name", PUBLISHED)
def test_eight_schools_have_the_posterior_that_bayesmeta_publishes(name):
    log_prior, of_mean, of_tau = PUBLISHED[name]
    middle = (np.arange(500) + 0.5) / 500
    taus, tau_step = 600 * middle**2, middle  # dense at 0, wide beyond: uniform priors have tails
    u = np.linspace(-5, 5, 601)
    means, mean_step = 8 + 4 * np.sinh(u), np.cosh(u)
    prior = log_prior(means, taus[:, None]) + np.log(tau_step)[:, None] + np.log(mean_step)
    values, errors = map(np.array, SCHOOLS)
    weight = joint_posterior(values, errors, np.full(8, np.inf), means, taus, prior)
    for nodes, axis, published in ((means, 0, of_mean), (taus, 1, of_tau)):
        found = summary(nodes, weight.sum(axis=axis))
        assert found[:3] == pytest.approx(published[:3], rel=1e-3)
        # about as short are intervals a little to the left or right
        width = published[4] - published[3]
        assert found[3:] == pytest.approx(published[3:], abs=2e-3 * width)


@pytest.mark.parametrize(
    ("values", "errors", "scale"),
    [(*SCHOOLS, 5.0), ([3.0, -0.5], [0.9, 1.1], 2.0), ([1.0, 1.1, 5.0], [0.1, 1.0, 3.0], 2.0)],
)
def test_known_errors_give_what_conditional_normals_integrate_to(values, errors, scale):
    degrees = [np.inf] * len(values)
    (found,) = posteriors(values, errors, degrees, scales=(scale,))
    ours = [found.low, found.mean, found.high, found.new_low, found.new_high]
    # the grid's steps cost less than a thousandth of the interval
    expected = by_conditional_normals(values, errors, scale)
    assert ours == pytest.approx(expected, abs=1e-3 * (found.high - found.low))


def test_error_that_rests_on_four_degrees_has_the_likelihood_of_a_t():
    means, taus = np.array([-1.0, 1.0, 4.0]), np.array([0.05, 1.0, 3.0])
    found = log_likelihood(1.3, 0.7, 4.0, means, taus)

    def exact(mean, tau):
        def part(truth):
            return stats.t.pdf((1.3 - truth) / 0.7, 4) / 0.7 * stats.norm.pdf(truth, mean, tau)

        return integrate.quad(part, mean - 12 * tau, mean + 12 * tau, epsabs=1e-13, limit=200)[0]

    assert np.exp(found) == pytest.approx(
        np.array([[exact(mean, tau) for mean in means] for tau in taus]), rel=1e-5
    )


def test_guessed_errors_widen_the_interval_and_a_wider_prior_does_too():
    known = posteriors([2.0, 3.0], [1.0, 1.0], [np.inf] * 2)
    guessed = posteriors([2.0, 3.0], [1.0, 1.0], [4.0] * 2)
    widths = [[b.high - b.low for b in beliefs] for beliefs in (known, guessed)]
    assert all(wider > width for width, wider in zip(*widths, strict=True))
    assert widths[0] == sorted(widths[0])
    assert [b.scale for b in known] == [1.0, 2.0, 4.0]
    # alike corpora: the middle, and as probably above as the interval says
    assert known[1].mean == pytest.approx(2.5, abs=0.01)
    assert known[1].positive > 0.9


@pytest.mark.parametrize(
    ("errors", "degrees", "scale"),
    [([1.0, 0.0], [4, 4], 2.0), ([1.0, 1.0], [4, 0], 2.0), ([1.0, 1.0], [4, 4], 0.0)],
)
def test_what_has_no_posterior_is_refused(errors, degrees, scale):
    with pytest.raises(ValueError, match="positive"):
        posteriors([1.0, 2.0], errors, degrees, scales=(scale,))
