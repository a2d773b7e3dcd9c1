//! A picture of who is late: one bar per carrier, as SVG.

use std::fmt::Write;

use plugin_api::prelude::*;

use crate::column::{Codes, present_numbers};

/// Distances in pixels, which a viewer may scale.
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 40.0;
const MARGIN: f64 = 20.0;
const PLOT: f64 = 560.0;
/// Room for a figure beside a bar.
const FIGURE: f64 = 48.0;
/// Light by default, dark where the viewer prefers it. Orange and blue can be told apart by people who do not see red and green.
const STYLE: &str = "\
    text { font: 13px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328; }\n\
    .title { font-size: 17px; font-weight: 600; }\n\
    .note, .tick { fill: #59636e; font-size: 12px; }\n\
    .paper { fill: #ffffff; }\n\
    .grid { stroke: #d1d9e0; } .zero { stroke: #59636e; }\n\
    .late { fill: #d9730d; } .early { fill: #1f7fbf; }\n\
    @media (prefers-color-scheme: dark) {\n\
      text { fill: #e6edf3; } .note, .tick { fill: #9198a1; } .paper { fill: #14171c; }\n\
      .grid { stroke: #30363d; } .zero { stroke: #9198a1; }\n\
      .late { fill: #f0943f; } .early { fill: #58a6e0; }\n\
    }\n";

/// One row of the chart.
struct Bar<'a> {
    label: &'a str,
    flights: f64,
    departure: f64,
    arrival: f64,
}

/// Draws the mean arrival delay of each carrier as SVG.
#[node(outputs = ["delay_chart"])]
pub fn delay_chart(carrier_delays: Table) -> Result<Text> {
    let batch = carrier_delays.concat()?;
    let (codes, names) = (Codes::of(&batch, "carrier")?, Codes::of(&batch, "name")?);
    let flights = present_numbers(&batch, "flights")?;
    let (departures, arrivals) =
        (present_numbers(&batch, "mean_dep_delay")?, present_numbers(&batch, "mean_arr_delay")?);
    let text = |column: &Codes, row: usize| column.get(row).map(|code| column.values.value(code).to_owned());
    let labels: Vec<String> = (0..batch.num_rows())
        .map(|row| text(&names, row).or_else(|| text(&codes, row)).unwrap_or_else(|| "unknown".to_owned()))
        .collect();
    let bars: Vec<Bar<'_>> = labels
        .iter()
        .enumerate()
        .map(|(row, label)| Bar {
            label,
            flights: flights.value(row),
            departure: departures.value(row),
            arrival: arrivals.value(row),
        })
        .collect();
    Ok(Text::from(draw(&bars)))
}

fn draw(bars: &[Bar<'_>]) -> String {
    let label = bars.iter().map(|bar| text_width(bar.label)).fold(0.0, f64::max);
    let left = MARGIN + label + 12.0 + FIGURE;
    let width = left + PLOT + FIGURE + MARGIN;
    let height = TOP + bars.len().max(1) as f64 * ROW + BOTTOM;
    let axis = Axis::around(bars.iter().map(|bar| bar.arrival));
    let x = |value: f64| left + axis.share(value) * PLOT;
    let bottom = height - BOTTOM;

    let mut svg = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = svg.write_fmt(text);
        svg.push('\n');
    };
    line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="img" aria-labelledby="title note">"#
    ));
    line(format_args!("<style>\n{STYLE}</style>"));
    line(format_args!(r#"<rect class="paper" width="100%" height="100%"/>"#));
    line(format_args!(r#"<text id="title" class="title" x="{MARGIN}" y="30">Mean arrival delay by carrier</text>"#));
    let flights: f64 = bars.iter().map(|bar| bar.flights).sum();
    let note = if bars.is_empty() {
        "no flights".to_owned()
    } else {
        format!("minutes; below zero: early · {} flights", grouped(flights))
    };
    line(format_args!(r#"<text id="note" class="note" x="{MARGIN}" y="50">{note}</text>"#));
    for tick in axis.ticks() {
        let (at, class) = (x(tick), if tick == 0.0 { "zero" } else { "grid" });
        line(format_args!(
            r#"<line class="{class}" x1="{at:.1}" x2="{at:.1}" y1="{:.1}" y2="{bottom:.1}"/>"#,
            TOP - 6.0
        ));
        line(format_args!(
            r#"<text class="tick" text-anchor="middle" x="{at:.1}" y="{:.1}">{}</text>"#,
            bottom + 18.0,
            axis.label(tick)
        ));
    }
    for (row, bar) in bars.iter().enumerate() {
        let middle = TOP + (row as f64 + 0.5) * ROW;
        let (zero, end) = (x(0.0), x(bar.arrival));
        let is_early = bar.arrival < 0.0;
        let (class, anchor, beside) = if is_early { ("early", "end", end - 6.0) } else { ("late", "start", end + 6.0) };
        let name = escaped(bar.label);
        line(format_args!("<g>"));
        line(format_args!(
            "<title>{name}: {} flights, on average {:+.1} min at departure, {:+.1} min at arrival</title>",
            grouped(bar.flights),
            bar.departure,
            bar.arrival
        ));
        line(format_args!(
            r#"<text text-anchor="end" x="{:.1}" y="{:.1}">{name}</text>"#,
            MARGIN + label,
            middle + 4.5
        ));
        line(format_args!(
            r#"<rect class="{class}" rx="2" x="{:.1}" y="{:.1}" width="{:.1}" height="{BAR}"/>"#,
            zero.min(end),
            middle - BAR / 2.0,
            (end - zero).abs()
        ));
        line(format_args!(
            r#"<text text-anchor="{anchor}" x="{beside:.1}" y="{:.1}">{:+.1}</text>"#,
            middle + 4.5,
            bar.arrival
        ));
        line(format_args!("</g>"));
    }
    line(format_args!("</svg>"));
    svg
}

/// The scale below the bars: from one round number to another, with zero in it.
struct Axis {
    first: f64,
    last: f64,
    step: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let span = if high > low { high - low } else { 1.0 };
        // The smallest of 1, 2 and 5 times a power of ten that makes at most about eight steps.
        let power = 10_f64.powf((span / 8.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| span / step <= 8.0)
            .unwrap_or(span);
        let last = (high / step).ceil() * step;
        Self { first: (low / step).floor() * step, last: if last > low { last } else { step }, step }
    }

    /// Where a value stands, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        if value.is_finite() { (value - self.first) / (self.last - self.first) } else { 0.0 }
    }

    /// A tick's figure, with as many decimals as tell it from its neighbours.
    fn label(&self, tick: f64) -> String {
        let decimals = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        if tick == 0.0 { "0".to_owned() } else { format!("{tick:+.decimals$}") }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (from, to) = ((self.first / self.step).round() as i64, (self.last / self.step).round() as i64);
        (from..=to).map(|count| count as f64 * self.step)
    }
}

/// How wide a label is at most. A guess on the wide side, as nobody knows the viewer's font: labels end at the bars, so what is
/// too much shows as margin and nothing is cut off.
fn text_width(text: &str) -> f64 {
    let letter = |letter: char| match letter {
        'M' | 'W' | 'm' | 'w' | '@' | '%' => 13.5,
        'A'..='Z' | '&' => 10.0,
        ' '..='~' => 8.0,
        _ => 14.0,
    };
    text.chars().map(letter).sum()
}

/// A count with its thousands apart.
fn grouped(count: f64) -> String {
    let digits = format!("{count:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_takes_in_zero_and_all_values() {
        let check = |values: &[f64], expected: &[f64]| {
            assert_eq!(Axis::around(values.iter().copied()).ticks().collect::<Vec<_>>(), expected, "{values:?}");
        };
        check(&[21.9, -9.9], &[-10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0]);
        check(&[3.0], &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        check(&[-700.0, -5.0], &[-700.0, -600.0, -500.0, -400.0, -300.0, -200.0, -100.0, 0.0]);
        assert!(Axis::around([f64::NAN].into_iter()).share(0.0).is_finite());
        assert!(Axis::around(std::iter::empty()).share(0.0).is_finite());
        let axis = Axis::around([0.7].into_iter());
        assert_eq!(axis.ticks().map(|tick| axis.label(tick)).collect::<Vec<_>>()[..4], ["0", "+0.1", "+0.2", "+0.3"]);
    }

    #[test]
    fn groups_thousands() {
        assert_eq!(
            [0.0, 999.0, 1000.0, 327_346.0, 1_234_567.0].map(grouped),
            ["0", "999", "1,000", "327,346", "1,234,567"]
        );
    }

    #[test]
    fn draws_a_bar_a_carrier_on_its_side_of_zero() {
        let bars = [
            Bar { label: "A & <B>", flights: 1200.0, departure: 3.0, arrival: 12.5 },
            Bar { label: "Early", flights: 1.0, departure: 0.0, arrival: -4.0 },
        ];
        let svg = draw(&bars);
        assert_eq!((svg.matches(r#"class="late""#).count(), svg.matches(r#"class="early""#).count()), (1, 1));
        assert!(
            svg.contains("A &amp; &lt;B&gt;")
                && svg.contains("+12.5")
                && svg.contains("-4.0")
                && svg.contains("1,201 flights")
        );
        assert!(draw(&[]).contains("no flights"));
    }
}
