//! Progress bars: on a terminal only, on standard error only, never with `--json`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for something of known length. `unit` is what is counted.
pub fn bar(total: u64, unit: &str, json: bool) -> ProgressBar {
    if json {
        return ProgressBar::hidden();
    }
    // indicatif draws nothing when standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    let template = format!("{{wide_bar}} {{human_pos}}/{{human_len}} {unit} {{per_sec:.dim}} {{eta}} left {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// A bar for bytes whose number is not known before.
pub fn bytes(json: bool) -> ProgressBar {
    if json {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {binary_bytes} {binary_bytes_per_sec:.dim}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
