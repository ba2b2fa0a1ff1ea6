"""Pictures: charts as SVG, tables as HTML and text, terminal progress. Knows data, not runs and not pages."""
