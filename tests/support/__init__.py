"""What tests share: the program, servers, a browser, a terminal."""
