"""What a person sees: charts, tables, terminal progress and reports."""
