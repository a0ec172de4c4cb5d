"""The recipes that come with i2i_forge, found by name: `forge train munit_synthetic`."""
