"""WebShop: find and buy the product that an instruction describes, in a shop of up to a million products."""
