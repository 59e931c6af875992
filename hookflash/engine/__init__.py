"""Calls and transfers in flight: where backend, feature codes and machine meet."""
