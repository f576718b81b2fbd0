using System.Text.RegularExpressions;

namespace Attune.Evaluation.Reports;

/// <summary>How pages of measurements look: light or dark as the reader's system is, without fonts or pictures from elsewhere.</summary>
public static partial class PageStyle
{
    /// <summary>The style sheet. No character of it may need escaping: readers of HTML take style sheets as they are.</summary>
    public static string Text { get; } = Join("""
        :root { --page: #f5f6f8; --panel: #ffffff; --ink: #1b1f27; --muted: #5d6675; --rule: #dfe3e9; --grid: #e8ebf0; --accent: #2f5c94;
          --band: rgba(47, 92, 148, 0.16); --chip: #eef1f5; }
        @media (prefers-color-scheme: dark) {
          :root { --page: #12151b; --panel: #1a1f27; --ink: #e7eaef; --muted: #9aa4b3; --rule: #2c333e; --grid: #272d37;
            --accent: #7fb2ea; --band: rgba(127, 178, 234, 0.18); --chip: #262c36; }
        }
        * { box-sizing: border-box; }
        body { margin: 0 auto; padding: 40px 28px 56px; max-width: 1120px; background: var(--page); color: var(--ink);
          font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
        header { display: flex; gap: 32px; justify-content: space-between; align-items: flex-start; margin-bottom: 28px; }
        .lead { min-width: 0; }
        .kicker { margin: 0 0 6px; font-size: 12px; letter-spacing: 0.08em; text-transform: uppercase; color: var(--accent);
          font-weight: 600; }
        h1 { margin: 0 0 8px; font-size: 27px; line-height: 1.25; font-weight: 650; overflow-wrap: anywhere; }
        h2 { margin: 44px 0 4px; font-size: 20px; font-weight: 650; }
        .panel h2 { margin: 0 0 12px; }
        h3 { margin: 0 0 4px; font-size: 16px; font-weight: 650; }
        .negative { margin: 0 0 10px; color: var(--muted); overflow-wrap: anywhere; }
        .facts { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 12px 0 0; padding: 0; list-style: none; color: var(--muted);
          font-size: 13.5px; }
        .images { display: flex; gap: 8px; flex: none; }
        .images img { width: auto; height: 136px; max-width: 240px; border-radius: 8px; border: 1px solid var(--rule);
          object-fit: contain; }
        .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin-bottom: 24px; }
        .tile, .panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; }
        .tile { padding: 14px 16px; }
        .tile .value { font-size: 25px; font-weight: 650; line-height: 1.2; font-variant-numeric: tabular-nums; }
        .tile .name { font-size: 13px; color: var(--muted); line-height: 1.35; margin-top: 4px; }
        .whose { font: 11.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: var(--muted); }
        .tile .whose { margin-top: 5px; }
        h3 .whose { margin-left: 10px; font-weight: 400; }
        .panel { padding: 20px 22px; margin-bottom: 16px; }
        .introduction { margin: 0 0 14px; color: var(--muted); max-width: 76ch; }
        .pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 16px; margin-bottom: 16px; }
        .pairs .panel { margin: 0; }
        h2 + article { margin-top: 14px; }
        .says { margin: 0 0 14px; max-width: 92ch; }
        .definition { margin: 14px 0 0; padding-top: 12px; border-top: 1px solid var(--rule); font-size: 13px; color: var(--muted);
          max-width: 110ch; }
        .plots { display: flex; width: 100%; flex-wrap: wrap; gap: 20px 28px; align-items: flex-start; }
        .lines { display: flex; flex-wrap: wrap; gap: 16px 28px; flex: 1 1 320px; min-width: 0; }
        figure { margin: 0; min-width: 0; max-width: 100%; }
        figcaption { font-size: 12px; color: var(--muted); margin-bottom: 4px; }
        svg { display: block; max-width: 100%; height: auto; }
        svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: var(--muted);
          font-variant-numeric: tabular-nums; }
        svg text.mono { font: 10px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
        svg text.axis { font-size: 11.5px; fill: var(--ink); }
        svg text.in { font-size: 10.5px; pointer-events: none; }
        svg text.dark { fill: #14181f; }
        svg text.light { fill: #ffffff; }
        svg g rect { stroke: var(--panel); stroke-width: 0.4; }
        svg g:hover rect { stroke: var(--ink); stroke-width: 1.6; }
        .frame { fill: none; stroke: var(--rule); }
        .grid { stroke: var(--grid); stroke-width: 1; }
        .band { fill: var(--band); }
        .line { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
        .dot { fill: var(--accent); stroke: var(--panel); stroke-width: 1.2; }
        .reach { fill: transparent; }
        .wide { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; font-size: 14px; }
        th { text-align: left; font-weight: 600; font-size: 12.5px; color: var(--muted); padding: 0 18px 7px 0;
          border-bottom: 1px solid var(--rule); }
        td { padding: 9px 18px 7px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
        tr:last-child td { border-bottom: 0; padding-bottom: 0; }
        code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--chip); border-radius: 5px;
          padding: 2px 6px; white-space: nowrap; }
        .chips code { display: inline-block; margin-bottom: 3px; }
        .note { color: var(--muted); font-size: 13px; margin: 0; }
        footer.note { margin-top: 32px; max-width: 100ch; }
        @media (max-width: 720px) { header { flex-direction: column; } body { padding: 24px 14px; } .panel { padding: 16px 14px; } }
        @media print { body { background: none; } .panel, .tile { break-inside: avoid; } }
        """);

    /// <summary>A style sheet as one line.</summary>
    public static string Join(string sheet) => Blanks().Replace(sheet, " ");

    [GeneratedRegex(@"\s*\n\s*")]
    private static partial Regex Blanks();
}
