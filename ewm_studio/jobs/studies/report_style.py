"""How a study's report looks: light or dark as the reader's system is, and light on paper."""

STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #ffffff; --ink: #1c222b; --faint: #5b6470;
  --line: #e3e6ea; }
@media (prefers-color-scheme: dark) { :root { --ground: #13161c; --card: #1b1f27; --ink: #e6e9ee; --faint: #9aa4b2;
  --line: #2b313c; } }
@media print { :root { color-scheme: light; --ground: #fff; --card: #fff; --ink: #1c222b; --faint: #5b6470;
  --line: #d5d9df; } section { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 Inter, system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 12px; }
h2 { font-size: 15px; margin: 0 0 14px; }
h3 { font-size: 13px; font-weight: 600; margin: 14px 0 4px; }
strong { color: var(--ink); font-weight: 600; }
p { color: var(--faint); margin: 10px 0 0; }
ul { margin: 0; padding-left: 18px; color: var(--faint); }
.lead { display: flex; flex-wrap: wrap; gap: 8px; margin: 0 0 20px; }
.lead span { border: 1px solid var(--line); border-radius: 999px; padding: 3px 12px; font-size: 13px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px;
  margin: 0 0 16px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 7px 8px; vertical-align: top;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; }
thead th { color: var(--faint); font-weight: 500; font-size: 13px; white-space: normal; vertical-align: bottom; }
tbody th { font-weight: 500; }
tbody tr:last-child > * { border-bottom: 0; }
.matrix { margin-top: 18px; table-layout: fixed; }
.matrix td, .matrix tr:first-child th { text-align: center; }
td small { display: block; color: var(--faint); }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 20px; }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; fill: var(--ink); font-size: 13px; }
svg .grid { stroke: var(--line); }
svg .tick { fill: var(--faint); }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; }
.key i { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin-right: 7px; vertical-align: 3px; }
pre { background: var(--ground); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; margin: 8px 0 0;
  overflow-x: auto; font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
"""
