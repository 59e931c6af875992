"""`hookflash journal`: what has happened."""

from cyclopts import App

app = App(name="journal", help="What has happened.")
