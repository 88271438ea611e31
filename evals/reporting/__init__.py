"""What people and other tools look at: pages, figures, tables, the terminal, exports. Imports analysis and below."""
