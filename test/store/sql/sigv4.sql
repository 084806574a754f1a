-- Signature Version 4 against the examples AWS publishes: the S3 API reference and the signature test suite.
\set ECHO none
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tarn_store_test;
\set ECHO all
-- GET object with a range
SELECT store_sign('GET', '/test.txt', ARRAY[]::text[],
	ARRAY['host', 'examplebucket.s3.amazonaws.com', 'x-amz-date', '20130524T000000Z', 'range', 'bytes=0-9', 'x-amz-content-sha256', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']::text[],
	'', '20130524T000000Z', 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 's3')
	LIKE '%Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41' AS same;
-- PUT object; the path is encoded
SELECT store_sign('PUT', '/test$file.text', ARRAY[]::text[],
	ARRAY['date', 'Fri, 24 May 2013 00:00:00 GMT', 'host', 'examplebucket.s3.amazonaws.com', 'x-amz-date', '20130524T000000Z', 'x-amz-content-sha256', '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072', 'x-amz-storage-class', 'REDUCED_REDUNDANCY']::text[],
	'Welcome to Amazon S3.', '20130524T000000Z', 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 's3')
	LIKE '%Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd' AS same;
-- a parameter without a value
SELECT store_sign('GET', '/', ARRAY['lifecycle', '']::text[],
	ARRAY['host', 'examplebucket.s3.amazonaws.com', 'x-amz-date', '20130524T000000Z', 'x-amz-content-sha256', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']::text[],
	'', '20130524T000000Z', 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 's3')
	LIKE '%Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543' AS same;
-- parameters, given unsorted
SELECT store_sign('GET', '/', ARRAY['prefix', 'J', 'max-keys', '2']::text[],
	ARRAY['host', 'examplebucket.s3.amazonaws.com', 'x-amz-date', '20130524T000000Z', 'x-amz-content-sha256', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']::text[],
	'', '20130524T000000Z', 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 's3')
	LIKE '%Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7' AS same;
-- test suite: get-vanilla
SELECT store_sign('GET', '/', ARRAY[]::text[],
	ARRAY['x-amz-date', '20150830T123600Z', 'host', 'example.amazonaws.com']::text[],
	'', '20150830T123600Z', 'AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', 'service')
	LIKE '%Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31' AS same;
-- test suite: get-vanilla-query-order-key-case
SELECT store_sign('GET', '/', ARRAY['Param2', 'value2', 'Param1', 'value1']::text[],
	ARRAY['x-amz-date', '20150830T123600Z', 'host', 'example.amazonaws.com']::text[],
	'', '20150830T123600Z', 'AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', 'service')
	LIKE '%Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500' AS same;
-- test suite: post-vanilla
SELECT store_sign('POST', '/', ARRAY[]::text[],
	ARRAY['x-amz-date', '20150830T123600Z', 'host', 'example.amazonaws.com']::text[],
	'', '20150830T123600Z', 'AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', 'service')
	LIKE '%Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b' AS same;
-- one bit of the body changes it
SELECT store_sign('PUT', '/x', '{}', '{host,h}', 'a', '20150830T123600Z', 'k', 's', 's3')
	<> store_sign('PUT', '/x', '{}', '{host,h}', 'b', '20150830T123600Z', 'k', 's', 's3') AS differs;
