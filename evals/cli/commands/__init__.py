"""One module for each command or group of commands; each adds itself to the app when it is imported."""
