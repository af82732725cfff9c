"""Averaged weights, and the estimate of time."""

import pytest
import torch

from medner.training import warmed_up_average


@pytest.mark.parametrize("decay", [0.5, 0.98])
def test_the_average_follows_at_once_and_is_exponential_in_the_end(decay: float) -> None:
    values = torch.linspace(1.0, 2.0, 2000, dtype=torch.float64)
    average = warmed_up_average(decay)
    averaged = values[0]  # as torch's AveragedModel begins: with a copy
    for n, value in enumerate(values[1:], start=1):
        averaged = average(averaged, value, torch.tensor(n))
        if n == 1:  # 2/11 of the beginning is kept, not .98
            torch.testing.assert_close(averaged, (values[0] * 2 + value * 9) / 11)
    # of a ramp, an exponential average lags behind by decay / (1 - decay) steps
    lag = (values[-1] - averaged) / (values[1] - values[0])
    torch.testing.assert_close(lag.item(), decay / (1 - decay), rtol=1e-6, atol=0)
