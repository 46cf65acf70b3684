"""Every measure against values worked out by hand, and against figures published for known methods."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.evaluate import metrics


def plane(value: float, height: int = 20, width: int = 30) -> metrics.Alpha:
    return np.full((height, width), value, np.float32)


def step_edge(column: int, height: int = 41, width: int = 61) -> metrics.Alpha:
    """Background left of ``column``, foreground from there on."""
    alpha = plane(0, height, width)
    alpha[:, column:] = 1
    return alpha


def test_sums_and_means_of_a_constant_error() -> None:
    alpha, truth = plane(0.75), plane(0.5)
    assert metrics.sad(alpha, truth) == pytest.approx(600 * 0.25 / 1000)
    assert metrics.mad(alpha, truth) == pytest.approx(250)
    assert metrics.mse(alpha, truth) == pytest.approx(62.5)


def test_only_the_region_counts() -> None:
    alpha, truth = plane(0), plane(0)
    alpha[:10] = 1
    region = np.zeros(alpha.shape, bool)
    region[8:12] = True
    assert metrics.sad(alpha, truth, region) == pytest.approx(60 / 1000)
    assert metrics.mad(alpha, truth, region) == pytest.approx(500)
    assert metrics.mse(alpha, truth, region) == pytest.approx(500)


def test_an_empty_region_has_no_mean() -> None:
    nothing = np.zeros((20, 30), bool)
    assert np.isnan(metrics.mad(plane(1), plane(0), nothing))
    assert metrics.sad(plane(1), plane(0), nothing) == 0


def test_grad_of_a_ramp() -> None:
    """On a ramp of slope s each Gaussian derivative answers s * sum(k * tap), whatever its smoothing."""
    slope = 0.01
    ramp = np.tile(np.arange(61, dtype=np.float32) * slope, (41, 1))
    region = np.zeros(ramp.shape, bool)
    region[10:31, 10:51] = True
    taps = np.arange(-4, 5)
    gauss = np.exp(-(taps**2) / (2 * 1.4**2))
    derivative = taps * gauss
    kernel = np.outer(gauss, derivative)
    answer = slope * (kernel * taps).sum() / np.sqrt((kernel**2).sum())
    assert metrics.grad(ramp, plane(0, 41, 61), region) == pytest.approx(21 * 41 * answer**2 / 1000, rel=1e-4)


def test_grad_is_the_same_for_an_edge_turned_or_mirrored() -> None:
    square = step_edge(20, 61, 61)
    nothing = plane(0, 61, 61)
    expected = metrics.grad(square, nothing)
    assert expected > 0
    assert metrics.grad(square.T.copy(), nothing) == pytest.approx(expected, rel=1e-6)
    assert metrics.grad(1 - square, nothing) == pytest.approx(expected, rel=1e-5)


def test_a_border_is_no_edge_to_grad() -> None:
    assert metrics.grad(plane(1), plane(0)) == pytest.approx(0, abs=1e-9)


def test_conn_of_an_island() -> None:
    """The island is in no level of the largest piece: its level is 0 and phi is 1 - alpha there."""
    alpha, truth = plane(0), plane(0)
    alpha[:, :15] = truth[:, :15] = 1
    alpha[5:7, 20:25] = 0.6
    assert metrics.conn(alpha, truth) == pytest.approx(10 * 0.6 / 1000, rel=1e-6)


def test_conn_forgives_small_distances() -> None:
    alpha, truth = plane(1), plane(1)
    alpha[:, 20:] = 0.9
    # Levels up to 0.9 hold the whole plane; 1 - 0.9 is under the tolerance of 0.15.
    assert metrics.conn(alpha, truth) == 0
    alpha[:, 20:] = 0.55
    # Now the level there is 0.5: phi(alpha) = 1, phi(truth) = 1 - 0.5.
    assert metrics.conn(alpha, truth) == pytest.approx(200 * 0.5 / 1000)


def test_band_is_ten_pixels_wide_on_both_sides() -> None:
    band = metrics.transition_band(step_edge(30))
    columns = np.flatnonzero(band[20])
    # The edge's two pixels are 29 and 30.
    assert columns.min() == 29 - 10
    assert columns.max() == 30 + 10


def test_band_reaches_round_soft_alpha() -> None:
    truth = plane(0, 61, 61)
    truth[30, 30] = 0.2
    band = metrics.transition_band(truth)
    distance = np.hypot(*(np.mgrid[0:61, 0:61] - 30))
    assert band[distance <= 9.5].all()
    assert not band[distance > 10.5].any()


def test_band_mad_sees_only_the_band() -> None:
    truth = step_edge(30)
    alpha = truth.copy()
    alpha[:, :10] = 1
    assert metrics.band_mad(alpha, truth) == 0
    alpha[:, 19:30] = 1
    assert metrics.band_mad(alpha, truth) == pytest.approx(500)


def test_band_mad_without_a_transition_is_not_defined() -> None:
    assert np.isnan(metrics.band_mad(plane(1), plane(0)))


def test_iou() -> None:
    assert metrics.iou(step_edge(30), step_edge(20)) == pytest.approx(31 / 41)
    assert metrics.iou(plane(0.4), plane(0)) == 1
    assert metrics.iou(plane(0), plane(1)) == 0


def test_dtssd_measures_the_error_change_only() -> None:
    truths = np.stack([step_edge(c) for c in (20, 22, 24, 26)])
    constant = np.full((4, 1, 1), 0.2, np.float32)
    assert metrics.dtssd(truths + constant, truths) == pytest.approx(0, abs=1e-4)
    flicker = np.array([0, 0.2, 0.2, 0], np.float32)[:, None, None]
    assert metrics.dtssd(truths + flicker, truths) == pytest.approx((20 + 0 + 20) / 3, rel=1e-5)


def test_dtssd_takes_the_root_of_each_pair() -> None:
    alphas, truths = np.zeros((2, 10, 10), np.float32), np.zeros((2, 10, 10), np.float32)
    alphas[1, 0, :4] = 0.5
    assert metrics.dtssd(alphas, truths) == pytest.approx(100 * np.sqrt(4 * 0.25 / 100))
    assert np.isnan(metrics.dtssd(alphas[:1], truths[:1]))


def test_messd_dt_follows_the_motion() -> None:
    """An error that moves with the picture is temporally consistent; one that stays in place is not."""
    truths = np.zeros((2, 40, 60), np.float32)
    alphas = truths.copy()
    alphas[0, 10:20, 10:20] = 0.5
    alphas[1, 10:20, 14:24] = 0.5
    moved = np.zeros((1, 40, 60, 2), np.float32)
    moved[..., 0] = 4
    assert metrics.messd_dt(alphas, truths, moved) == pytest.approx(0, abs=1e-6)
    still = np.zeros_like(moved)
    assert metrics.messd_dt(alphas, truths, still) == pytest.approx(80 * 0.25 / 2400 * 1e3)


def test_messd_dt_leaves_out_what_leaves_the_frame() -> None:
    alphas, truths = np.zeros((2, 40, 60), np.float32), np.zeros((2, 40, 60), np.float32)
    alphas[0, :, 56:] = 1
    moved = np.zeros((1, 40, 60, 2), np.float32)
    moved[..., 0] = 4
    assert metrics.messd_dt(alphas, truths, moved) == 0


def test_closed_form_matting_has_its_known_figures(shared: Path) -> None:
    """PyMatting's closed form on nine benchmark images: SAD 4.63, MSE 20.8, Grad 7.99."""
    estimate_alpha_cf = pytest.importorskip("pymatting").estimate_alpha_cf
    figures = []
    for path in sorted((shared / "eval" / "trimap").glob("*_image.png")):
        name = path.name.removesuffix("_image.png")
        image = cv2.imread(str(path))[..., ::-1] / 255.0
        trimap, truth = (
            cv2.imread(str(path.with_name(f"{name}_{kind}.png")), cv2.IMREAD_GRAYSCALE)
            for kind in ("trimap", "alpha")
        )
        unknown = trimap == 128
        given = np.where(unknown, 0.5, trimap / 255.0)
        alpha = np.float32(estimate_alpha_cf(image, given))
        true_alpha = np.float32(truth) / np.float32(255)
        measures = (metrics.sad, metrics.mse, metrics.grad)
        figures.append([measure(alpha, true_alpha, unknown) for measure in measures])
    assert np.mean(figures, axis=0) == pytest.approx([4.63, 20.8, 7.99], rel=3e-3)


def test_selfie_segmenter_has_its_known_figures(shared: Path) -> None:
    """MediaPipe's selfie model on three stills: MAD 22.4, band MAD 75."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = litert.Interpreter(
        model_path=str(shared / "init" / "teachers" / "selfie_segmentation.tflite"), num_threads=1
    )
    model.allocate_tensors()
    figures = []
    for path in sorted((shared / "eval" / "stills").glob("*_alpha.png")):
        truth = np.float32(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) / np.float32(255)
        image = cv2.imread(str(path).replace("_alpha", ""))[..., ::-1]
        small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)
        model.set_tensor(model.get_input_details()[0]["index"], np.float32(small)[None] / 255)
        model.invoke()
        answer = model.get_tensor(model.get_output_details()[0]["index"])[0, ..., 0]
        alpha = cv2.resize(answer, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
        figures.append([metrics.mad(alpha, truth), metrics.band_mad(alpha, truth)])
    assert np.mean(figures, axis=0) == pytest.approx([22.4, 75], rel=1e-2)


def test_haze_counts_undecided_pixels_far_from_the_edge_only() -> None:
    truth = plane(0, 200, 100)
    truth[50:150, 30:70] = 1  # 100 px high: far is over 3 px
    alpha = truth.copy()
    alpha[48:52, 30:70] = 0.5
    assert metrics.false_translucency(alpha, truth) == 0
    alpha[90:110, 40:60] = 0.5
    alpha[:10, :10] = 0.5
    assert metrics.false_translucency(alpha, truth) == pytest.approx(100 * (400 + 100) / truth.size)
    alpha[alpha == 0.5] = 0.96
    assert metrics.false_translucency(alpha, truth) == 0


def test_residual_alpha_excludes_mixed_hair_and_is_everything_without_a_person() -> None:
    truth = plane(0, 100, 100)
    truth[60:] = 1
    truth[:60, 20:80] = 0.3
    assert metrics.false_translucency(truth, truth) == 0
    assert metrics.false_translucency(plane(0.5), plane(0)) == 100
    assert metrics.false_translucency(plane(0), plane(0)) == 0
