"""From bytes to arrays: headers before decoding, pictures, masks, records, and no link out of the folder."""
